# A Vivado project with the accelerator of $design in a block design:
#   vivado -mode batch -source block_design.tcl -tclargs PART [FOLDER]
# On a Zynq 7000 (PART xc7z...) the processor has its registers at M_AXI_GP0, its memory traffic goes to S_AXI_HP0, and
# irq is an interrupt of it. On other parts its interfaces become ports of the block design, for a design around it.

set part [lindex $$argv 0]
set folder [expr {[llength $$argv] > 1 ? [lindex $$argv 1] : "project"}]
if {$$part eq ""} { error "usage: vivado -mode batch -source block_design.tcl -tclargs PART ?FOLDER?" }
set here [file dirname [file normalize [info script]]]

create_project -part $$part accelerator $$folder
add_files -norecurse [list [file join $$here accelerator_axi.v] [file join $$here .. accelerator.v]]
update_compile_order -fileset sources_1

create_bd_design system
create_bd_cell -type module -reference accelerator_axi accelerator

if {[string match xc7z* $$part]} {
    create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7 ps
    set_property -dict [list CONFIG.PCW_USE_S_AXI_HP0 1 CONFIG.PCW_USE_FABRIC_INTERRUPT 1 CONFIG.PCW_IRQ_F2P_INTR 1 \
        CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ [expr {$clock_hz / 1e6}]] [get_bd_cells ps]
    apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 \
        -config {make_external "FIXED_IO, DDR" Master "Disable" Slave "Disable"} [get_bd_cells ps]
    apply_bd_automation -rule xilinx.com:bd_rule:axi4 \
        -config {Master "/ps/M_AXI_GP0" Clk_master "/ps/FCLK_CLK0 ($clock_hz)" Clk_slave "/ps/FCLK_CLK0 ($clock_hz)"} \
        [get_bd_intf_pins accelerator/s_axil]
    apply_bd_automation -rule xilinx.com:bd_rule:axi4 \
        -config {Master "/accelerator/m_axi" Clk_master "/ps/FCLK_CLK0 ($clock_hz)" Clk_slave "/ps/FCLK_CLK0 ($clock_hz)"} \
        [get_bd_intf_pins ps/S_AXI_HP0]
    connect_bd_net [get_bd_pins accelerator/irq] [get_bd_pins ps/IRQ_F2P]
} else {
    make_bd_intf_pins_external -name s_axil [get_bd_intf_pins accelerator/s_axil]
    make_bd_intf_pins_external -name m_axi [get_bd_intf_pins accelerator/m_axi]
    make_bd_pins_external -name aclk [get_bd_pins accelerator/aclk]
    make_bd_pins_external -name aresetn [get_bd_pins accelerator/aresetn]
    make_bd_pins_external -name irq [get_bd_pins accelerator/irq]
}

assign_bd_address
regenerate_bd_layout
validate_bd_design
save_bd_design
make_wrapper -top -import [get_files system.bd]
set_property top system_wrapper [current_fileset]
